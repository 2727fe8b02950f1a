"""The commands as clients of the API: logins, requests, and what each command asks for."""
