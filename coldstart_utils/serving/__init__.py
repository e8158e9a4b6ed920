"""What answers in real time: a store, the model and its beliefs, and a service over HTTP."""
