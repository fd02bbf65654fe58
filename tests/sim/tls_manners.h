// What a client of a TLS listener does to its records: TLS_MANNER(name, alert, what it does). The
// alert is what the gateway says of it, if it says anything; NO_ALERT: it has nothing to object to;
// ANY_ALERT: what it objects to depends on where it hits. Only the table.

TLS_MANNER(good, NO_ALERT, "nothing that is not right")
TLS_MANNER(cut, NO_ALERT, "goes in the middle of its handshake")
TLS_MANNER(hello, ANY_ALERT, "has one bit of its first flight wrong")
TLS_MANNER(http, NO_ALERT, "speaks HTTP in the clear")
TLS_MANNER(forge, 20, "has one bit of a sealed record wrong")
TLS_MANNER(repeat, 20, "sends a sealed record twice")
TLS_MANNER(drop, 20, "leaves out a sealed record")
TLS_MANNER(length, 22, "begins a record that is longer than any")
TLS_MANNER(type, 10, "sends a record of a type that there is not")
TLS_MANNER(updates, 10, "changes its keys again and again")
TLS_MANNER(doubt, ANY_ALERT, "finds one bit wrong in what it receives, and says so")
