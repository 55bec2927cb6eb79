"""What runs outside the worker, in a process of its own: starts commands, reads them, and ends them whole.

Imports nothing but the standard library and this package: the process starts without `site`.
"""
