// Goroutines, map iteration, random numbers, time and a stream over loopback.
package main

import (
	"fmt"
	"io"
	"math/rand"
	"net"
	"sync"
	"time"
)

func main() {
	for key, value := range map[int]string{1: "a", 2: "b", 3: "c", 4: "d", 5: "e"} {
		fmt.Print(key, value, " ")
	}
	fmt.Println(rand.Intn(1000), time.Now().UTC())
	var all sync.WaitGroup
	results := make(chan int, 100)
	for i := 0; i < 6; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			for k := 0; k < 4; k++ {
				time.Sleep(time.Duration((i+k)%3) * time.Millisecond)
				results <- i*10 + k
			}
		}(i)
	}
	all.Wait()
	close(results)
	for result := range results {
		fmt.Print(result, " ")
	}
	fmt.Println()
	listener, err := net.Listen("tcp", "127.0.0.1:9000")
	if err != nil {
		panic(err)
	}
	go func() {
		stream, _ := listener.Accept()
		io.Copy(stream, stream)
		stream.Close()
	}()
	stream, err := net.Dial("tcp", "127.0.0.1:9000")
	if err != nil {
		panic(err)
	}
	stream.Write([]byte("echo\n"))
	stream.(*net.TCPConn).CloseWrite()
	text, _ := io.ReadAll(stream)
	fmt.Print(string(text))
}
