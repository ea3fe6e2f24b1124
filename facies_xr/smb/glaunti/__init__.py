"""GlaUnTI: a temperature-index model whose parameters a network corrects, from facies maps among others."""
