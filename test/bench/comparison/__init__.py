"""What test/bench/compare is made of."""
