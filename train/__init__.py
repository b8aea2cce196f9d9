"""Train the digit network on MNIST or on your own classes: data, augment, model, calibration, train, report."""
