//! The engine against a brute-force packet evaluator that shares no code with it.
