"""What comes from outside, thrown at us by a fuzzer that follows the coverage; `python -m tests.fuzz TARGET`.

Each target is a module with `one(data)`, which asserts what must hold for any bytes. Its corpus is replayed by
test_corpus.py in every run of the tests, without the fuzzer.
"""
