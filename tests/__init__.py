"""The tests are one package: without this file, tests/cds could pass for cds itself."""
