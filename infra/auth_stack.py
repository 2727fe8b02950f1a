"""Who may come in: users, the API's door, and the table and key of broker accounts. Changes seldom."""

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.api import make_api
from infra.environments import Environment
from infra.tables import definitions, make_table, removal

ADMINS = "admin"
"""The group whose members are administrators: the claim ``cognito:groups`` holds it."""

EXPORTS = ("UserPool", "UserPoolClient", "SecretsKey", "BrokerAccounts", "Api", "ApiAuthorizer")


class AuthStack(Stack):
    def __init__(self, scope: Construct, environment: Environment) -> None:
        super().__init__(
            scope,
            environment.auth_stack,
            stack_name=environment.auth_stack,
            description="Option Baskets: users, broker accounts, the API's door",
            termination_protection=environment.keeps_data,
        )
        pool = _users(self, environment)
        client = _client(pool, environment)
        cognito.CfnUserPoolGroup(
            self,
            "Admins",
            user_pool_id=pool.user_pool_id,
            group_name=ADMINS,
            description="Administrators of the platform",
        )
        key = kms.Key(
            self,
            "SecretsKey",
            alias=environment.named("secrets"),
            description="Seals secrets of broker accounts, and encrypts their table",
            enable_key_rotation=True,
            removal_policy=removal(environment),
        )
        (people,) = definitions(of_people=True)
        table = make_table(self, people, environment, key=key)
        door = make_api(self, environment, pool, client)
        values = (
            pool.user_pool_id,
            client.user_pool_client_id,
            key.key_arn,
            table.ref,
            door.api.ref,
            door.authorizer.ref,
        )
        for name, value in zip(EXPORTS, values, strict=True):
            CfnOutput(self, f"{name}Output", value=value, export_name=environment.exported(name))
        CfnOutput(self, "ApiUrl", value=f"https://{door.api.ref}.execute-api.{self.region}.{self.url_suffix}")


def _users(scope: Construct, environment: Environment) -> cognito.UserPool:
    people = environment.people
    return cognito.UserPool(
        scope,
        "Users",
        user_pool_name=environment.named("users"),
        self_sign_up_enabled=people.sign_up == "anyone",
        sign_in_aliases=cognito.SignInAliases(email=True),
        sign_in_case_sensitive=False,
        auto_verify=cognito.AutoVerifiedAttrs(email=True),
        standard_attributes=cognito.StandardAttributes(email=cognito.StandardAttribute(required=True, mutable=True)),
        password_policy=cognito.PasswordPolicy(
            min_length=15,
            require_digits=True,
            require_lowercase=True,
            require_uppercase=True,
            require_symbols=True,
            temp_password_validity=Duration.days(3),
        ),
        mfa=cognito.Mfa.REQUIRED if people.mfa == "required" else cognito.Mfa.OPTIONAL,
        mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
        account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
        feature_plan=cognito.FeaturePlan.PLUS if people.threat_protection else cognito.FeaturePlan.ESSENTIALS,
        standard_threat_protection_mode=cognito.StandardThreatProtectionMode.FULL_FUNCTION
        if people.threat_protection
        else None,
        deletion_protection=environment.keeps_data,
        removal_policy=removal(environment),
    )


def _client(pool: cognito.UserPool, environment: Environment) -> cognito.UserPoolClient:
    """A public client: a browser keeps no secret."""
    return pool.add_client(
        "Web",
        user_pool_client_name=environment.named("web"),
        generate_secret=False,
        auth_flows=cognito.AuthFlow(user_srp=True, user_password=environment.people.password_login),
        disable_o_auth=True,
        prevent_user_existence_errors=True,
        enable_token_revocation=True,
        access_token_validity=Duration.hours(1),
        id_token_validity=Duration.hours(1),
        refresh_token_validity=Duration.days(1),
    )
