"""The PRM inside other people's tools, a page each: TRL, ms-swift, verl, the openai client, inspect-ai.

Nearly every module needs the package that it is called after, and nothing else of the project imports them.
"""
