"""What trades: tables, timer, bus, queues, functions, live updates, alarms. Stands on what the auth stack exports."""

from aws_cdk import Fn, Stack
from constructs import Construct

from infra.alarms import Alarms, Watched
from infra.api import add_routes
from infra.auth_stack import EXPORTS
from infra.bus import make_bus
from infra.dashboard import make_dashboard
from infra.egress import make_network
from infra.entry_points import API, ENTRY_POINTS, LIVE
from infra.environments import Environment
from infra.functions import Functions, read_code
from infra.queues import make_queues
from infra.tables import definitions, make_table
from infra.timer import make_timer
from infra.websocket import feed, make_websocket


class TradingStack(Stack):
    def __init__(self, scope: Construct, environment: Environment) -> None:
        super().__init__(
            scope,
            environment.trading_stack,
            stack_name=environment.trading_stack,
            description="Option Baskets: timer, events, workers, API, live updates",
            termination_protection=environment.keeps_data,
        )
        imported = {name: Fn.import_value(environment.exported(name)) for name in EXPORTS}
        tables = {table.name: make_table(self, table, environment) for table in definitions(of_people=False)}
        making = Functions(
            scope=self,
            environment=environment,
            code=read_code(self, environment),
            network=make_network(self, environment),
            key_arn=imported["SecretsKey"],
            variables={
                "OPTION_BASKETS_ENVIRONMENT": environment.name,
                "OPTION_BASKETS_TABLE_PREFIX": environment.table_prefix,
                "OPTION_BASKETS_SHARDS": str(environment.shards),
                "OPTION_BASKETS_KEY": imported["SecretsKey"],
                "OPTION_BASKETS_USER_POOL": imported["UserPool"],
                "OPTION_BASKETS_CLIENT": imported["UserPoolClient"],
            },
        )
        for point in ENTRY_POINTS:
            making.make(point)
        functions = making.by_name
        queues = make_queues(self, environment, functions)
        bus = make_bus(self, environment, functions)
        timer = make_timer(self, environment, functions)
        add_routes(self, api_id=imported["Api"], authorizer_id=imported["ApiAuthorizer"], function=functions[API.name])
        make_websocket(self, environment, functions)
        dead_live = feed(self, environment, tables, functions[LIVE.name])
        watched = Watched(
            functions=functions,
            machine=timer.machine,
            queues=queues.by_name,
            dead={
                **{name.value: queue for name, queue in queues.dead.items()},
                **bus.dead,
                "schedules": timer.dead,
                LIVE.name: dead_live,
            },
            tables=tables.values(),
            api_id=imported["Api"],
        )
        alarms = Alarms(self, environment)
        alarms.watch(watched)
        make_dashboard(self, environment, watched, alarms)
