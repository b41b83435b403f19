// The shop's price: net/http. 3 of 10 requests fail, never two in succession.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"sync/atomic"
)

var requests atomic.Uint64

func price(w http.ResponseWriter, r *http.Request) {
	if (requests.Add(1)-1)*3%10 < 3 {
		http.Error(w, "no price now", http.StatusServiceUnavailable)
		return
	}
	answer, err := http.Get(os.Getenv("WEB_URL") + "/currency")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	var currency map[string]string
	if err := json.NewDecoder(answer.Body).Decode(&currency); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("content-type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"price": 42, "currency": currency["currency"]})
}

func main() {
	http.HandleFunc("/price", price)
	http.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok")) })
	address := os.Getenv("LISTEN_ADDR")
	log.Println("price listens on", address)
	log.Fatal(http.ListenAndServe(address, nil))
}
