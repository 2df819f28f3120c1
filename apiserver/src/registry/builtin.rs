//! The kinds Kubernetes itself brings that clients lean on.
