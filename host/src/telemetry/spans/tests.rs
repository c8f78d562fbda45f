//! From an exchange to the bytes that a receiver is sent, and what becomes of them.
