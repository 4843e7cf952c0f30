package remote

import "sync"

// serial lets two streams share one callback.
func serial(line func(string)) func(string) {
	var mu sync.Mutex
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		line(text)
	}
}
