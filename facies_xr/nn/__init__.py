"""The network: features, evaluation, classifiers, calibration, training."""
