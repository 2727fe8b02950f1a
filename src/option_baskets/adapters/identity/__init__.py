"""Users and logins of our own: passwords by argon2id, signed access tokens, refresh tokens that are good once, TOTP."""
