"""The product on a Raspberry Pi without a board: emulated userlands and machines (`make test-pi`, docs/test-pi.md)."""
