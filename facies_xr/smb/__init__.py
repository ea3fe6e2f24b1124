"""Surface mass balance: records, regression on facies, evaluation."""
