"""The platform on AWS: two stacks, their settings, and what packages, deploys and checks them.

Modules without ``aws_cdk`` among their imports can be read without it; the tests read those.
"""
