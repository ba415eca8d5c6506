// services PATTERN: leaks and their correct twins as Go programs have them: bodies
// that are not closed, goroutines that hold a connection, commands never waited for.
package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"time"
)

func must(err error) {
	if err != nil {
		println(err.Error())
		os.Exit(99)
	}
}

func paced(perSecond float64, work func(n int)) {
	ticker := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
	for n := 0; ; n++ {
		work(n)
		<-ticker.C
	}
}

var kept []io.Closer

//go:noinline
func openAndKeep() {
	file, err := os.Open("/etc/passwd")
	must(err)
	kept = append(kept, file)
}

// The body is never closed, so the connection is not used again.
//
//go:noinline
func fetchWithoutClose(url string) {
	response, err := http.Get(url)
	must(err)
	kept = append(kept, response.Body)
}

func answers() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.Write(make([]byte, 100000))
	}))
}

func bodies() {
	server := answers()
	paced(5, func(int) { fetchWithoutClose(server.URL) })
}

func bodiesClosed() {
	server := answers()
	paced(10, func(int) {
		response, err := http.Get(server.URL)
		must(err)
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	})
}

// A goroutine for each client that waits for words from it; clients that stay
// silent are never dropped.
//
//go:noinline
func dialAndWait(address string) {
	connection, err := net.Dial("tcp", address)
	must(err)
	go func() {
		bufio.NewReader(connection).ReadString('\n')
		connection.Close()
	}()
}

func silentServer() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		for {
			connection, err := listener.Accept()
			must(err)
			kept = append(kept, connection)
		}
	}()
	return listener
}

func goroutines() {
	address := silentServer().Addr().String()
	paced(4, func(int) { dialAndWait(address) })
}

//go:noinline
func startWithoutWait() {
	must(exec.Command("true").Start())
}

func commands() {
	paced(5, func(int) { startWithoutWait() })
}

func commandsWaited() {
	paced(4, func(int) { must(exec.Command("true").Run()) })
}

// A goroutine that is locked to its thread and never returns takes the thread along.
//
//go:noinline
func lockThread() {
	go func() {
		runtime.LockOSThread()
		select {}
	}()
}

func threads() {
	paced(5, func(int) { lockThread() })
}

// Workers that share a channel, each with a file open while it works.
func workers() {
	work := make(chan int)
	for i := 0; i < 6; i++ {
		go func() {
			for range work {
				file, err := os.Open("/etc/hosts")
				must(err)
				time.Sleep(1300 * time.Millisecond)
				file.Close()
			}
		}()
	}
	paced(4, func(n int) { work <- n })
}

// Files that are dropped without a close: the collector closes them.
func collected() {
	paced(10, func(n int) {
		_, err := os.Open("/etc/hosts")
		must(err)
		if n%40 == 39 {
			runtime.GC()
		}
	})
}

// A cache with a time to live of three seconds.
func ttlCache() {
	paced(6, func(int) {
		file, err := os.Open("/etc/hosts")
		must(err)
		time.AfterFunc(3*time.Second, func() { file.Close() })
	})
}

func main() {
	go func() {
		time.Sleep(400 * time.Second)
		os.Exit(0)
	}()
	programs := map[string]func(){
		"files":           func() { paced(6, func(int) { openAndKeep() }) },
		"bodies":          bodies,
		"goroutines":      goroutines,
		"commands":        commands,
		"threads":         threads,
		"bodies-closed":   bodiesClosed,
		"commands-waited": commandsWaited,
		"workers":         workers,
		"collected":       collected,
		"ttl-cache":       ttlCache,
	}
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		os.Exit(2)
	}
	os.Stdout.WriteString("ready\n")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		os.Exit(0)
	}
	programs[os.Args[1]]()
}
