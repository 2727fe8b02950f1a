"""Both stacks of every environment, as one CDK app: ``python -m infra.app``.

``OPTION_BASKETS_ENVIRONMENTS`` names the environments to make, separated by commas; without it, all. ``CDK_OUTDIR``
says where to. What cdk-nag finds fails the run.
"""

import os

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra.acknowledged import acknowledge, of_auth, of_trading
from infra.auth_stack import AuthStack
from infra.environments import read
from infra.trading_stack import TradingStack


def main() -> None:
    app = App(analytics_reporting=False)
    chosen = os.environ.get("OPTION_BASKETS_ENVIRONMENTS", "")
    environments = read()
    for name in chosen.split(",") if chosen else environments:
        environment = environments[name]
        auth = AuthStack(app, environment)
        trading = TradingStack(app, environment)
        trading.add_stack_dependency(auth)
        acknowledge(auth, of_auth(environment))
        acknowledge(trading, of_trading(environment))
        for stack in (auth, trading):
            Tags.of(stack).add("project", environment.project)
            Tags.of(stack).add("environment", environment.name)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app, write_suppressions_to_cloud_formation=True))
    app.synth()


if __name__ == "__main__":
    main()
