//! `<state>/outbox/<run-id>/`: letters as they were composed, until they are accepted by a relay;
//! `<state>/receipts/<run-id>.json`: what became of them.
