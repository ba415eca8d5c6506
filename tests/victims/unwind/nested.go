// nested COUNT: keeps COUNT files, opened by the main goroutine, and COUNT sockets,
// opened by another, for a while.
package main

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

//go:noinline
func leakFile() int {
	file, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	return file
}

//go:noinline
func middle(room *[100]int) int {
	file := leakFile()
	room[7] += file
	return room[7] + file
}

//go:noinline
func outer() int {
	var room [100]int
	return middle(&room) + room[1]
}

//go:noinline
func leakSocket() int {
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		panic(err)
	}
	return socket
}

//go:noinline
func worker(done chan int) {
	done <- leakSocket()
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	done := make(chan int)
	for i := 0; i < count; i++ {
		outer()
		go worker(done)
		<-done
	}
	time.Sleep(time.Second)
}
