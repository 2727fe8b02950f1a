"""The ports on AWS. Only modules that speak to AWS import its library, the extra ``option-baskets[aws]``."""
