"""From tidy tables to statistics, figures and reports."""
