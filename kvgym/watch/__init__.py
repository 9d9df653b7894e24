"""Episodes to look at: recorded, replayed in a browser, written as a Chrome trace. `kvgym watch`, `kvgym trace`."""
