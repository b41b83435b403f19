// The shop's front: express, and fetch for the calls.
const express = require("express");

const cart = process.env.CART_URL;
const app = express();
app.use(express.json());

app.get("/health", (_, response) => response.send("ok"));

app.get("/", async (_, response) => {
  const answer = await fetch(`${cart}/cart`);
  response.status(answer.status).json(await answer.json());
});

app.post("/checkout", async (request, response) => {
  const answer = await fetch(`${cart}/orders`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request.body),
  });
  response.status(answer.status).json(await answer.json());
});

app.get("/currency", (_, response) => response.json({ currency: "EUR" }));

app.listen(Number(process.env.PORT), process.env.HOST, () => console.log("web listens"));
