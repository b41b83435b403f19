"""The shop's cart: flask, and requests for the calls. Every second order fails."""

import itertools
import os

import requests
from flask import Flask, jsonify

app = Flask(__name__)
orders = itertools.count()
calls = requests.Session()


@app.get("/health")
def health():
    return "ok"


@app.get("/cart")
def cart():
    price = calls.get(os.environ["PRICE_URL"] + "/price", timeout=5)
    if price.status_code != 200:
        return jsonify(error="no price"), 502
    return jsonify(total=price.json()["price"])


@app.post("/orders")
def order():
    if next(orders) % 2 == 1:
        return jsonify(error="out of stock"), 500
    return jsonify(order="accepted"), 201


if __name__ == "__main__":
    host, port = os.environ["LISTEN"].rsplit(":", 1)
    app.run(host=host, port=int(port), threaded=True)
