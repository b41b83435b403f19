module price

go 1.21
