"""The parts of the labeler: rules, automaton, sentences, scope, structures, attributes, account."""
