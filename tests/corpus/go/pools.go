// pools PATTERN: database/sql with a bounded pool, over a driver that speaks to a server of one
// word. One query in twenty is by exportReport. In `dry` its rows are not closed, and in the end
// every query waits; in `day` they are; in `evening` work ends.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"net"
	"os"
	"time"
)

var address string

type wordDriver struct{}

type wordConn struct{ net.Conn }

type wordStmt struct{ conn *wordConn }

type wordRows struct{ left int }

//go:noinline
func (wordDriver) Open(string) (driver.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &wordConn{conn}, nil
}

func (c *wordConn) Prepare(string) (driver.Stmt, error) { return &wordStmt{c}, nil }
func (c *wordConn) Begin() (driver.Tx, error)           { return nil, driver.ErrSkip }

func (s *wordStmt) Close() error  { return nil }
func (s *wordStmt) NumInput() int { return 0 }
func (s *wordStmt) Exec([]driver.Value) (driver.Result, error) {
	return nil, driver.ErrSkip
}

func (s *wordStmt) Query([]driver.Value) (driver.Rows, error) {
	answer := make([]byte, 6)
	if _, err := s.conn.Write([]byte("select")); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(s.conn, answer); err != nil {
		return nil, err
	}
	return &wordRows{2}, nil
}

func (r *wordRows) Columns() []string { return []string{"word"} }
func (r *wordRows) Close() error      { return nil }
func (r *wordRows) Next(to []driver.Value) error {
	if r.left == 0 {
		return io.EOF
	}
	r.left--
	to[0] = "word"
	return nil
}

var kept []*sql.Rows

//go:noinline
func listOrders(db *sql.DB) {
	if rows, err := db.Query("select"); err == nil {
		rows.Close()
	}
}

//go:noinline
func listUsers(db *sql.DB) {
	if rows, err := db.Query("select"); err == nil {
		rows.Close()
	}
}

//go:noinline
func exportReport(db *sql.DB, closes bool) {
	rows, err := db.Query("select")
	if err != nil {
		return
	}
	if closes {
		rows.Close()
		return
	}
	// One row was enough.
	rows.Next()
	kept = append(kept, rows)
}

func serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go io.Copy(conn, conn)
	}
}

func main() {
	os.Stdout.WriteString("ready\n")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		os.Exit(0)
	}
	time.AfterFunc(400*time.Second, func() { os.Exit(0) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(99)
	}
	address = listener.Addr().String()
	go serve(listener)
	sql.Register("word", wordDriver{})
	db, err := sql.Open("word", "")
	if err != nil {
		os.Exit(99)
	}
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(10)
	fill(db)
	pattern := os.Args[1]
	for n := 0; ; n++ {
		if pattern == "evening" && n == 200 {
			select {}
		}
		switch {
		case n%20 == 19:
			exportReport(db, pattern != "dry" || n < 160)
		case n%2 == 0:
			listOrders(db)
		default:
			listUsers(db)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// All connections are opened before they are needed.
func fill(db *sql.DB) {
	var conns []*sql.Conn
	for i := 0; i < 10; i++ {
		conn, err := db.Conn(context.Background())
		if err != nil {
			os.Exit(99)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		conn.Close()
	}
}
