"""What the templates must hold. The local emulator ignores most of it, so that only this shows it."""

import json
from collections import Counter
from typing import Any

import pytest

from infra.entry_points import DELIVERIES, ENTRY_POINTS, Package, QueueName
from infra.metrics import NAMESPACE, Measure
from option_baskets.adapters.aws.definition import EXPIRY, TABLES, create_request
from option_baskets.adapters.aws.wake import EARLIER
from option_baskets.adapters.cadence import load_cadence
from option_baskets.domain.events import EventType
from option_baskets.domain.session import IST
from option_baskets.ports import TableName
from option_baskets.store import keys
from tests.infra.templates import ENVIRONMENTS, WITH_NETWORK, Template, auth_of, text, trading_of

OPEN_ROUTES = {"GET /health", "GET /ready", "GET /openapi.json"}
PROTECTED_ROUTES = {"ANY /{proxy+}"}
EXPORTS = {"UserPool", "UserPoolClient", "SecretsKey", "BrokerAccounts", "Api", "ApiAuthorizer"}
POINTS = {point.name: point for point in ENTRY_POINTS}
HOLDS_DATA = ("DynamoDB::Table", "KMS::Key", "Cognito::UserPool")
KEPT, NOT_KEPT = "Retain", "Delete"


# ---------------------------------------------------------------- tables


def tables(template: Template) -> dict[str, Any]:
    return {table["TableName"]: table for table in template.properties("DynamoDB::Table").values()}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_table_of_the_one_definition_is_in_one_of_the_stacks_with_its_keys_and_indexes(name: str) -> None:
    environment = ENVIRONMENTS[name]
    made = tables(auth_of(name)) | tables(trading_of(name))
    assert made.keys() == {environment.table_prefix + table.name for table in TABLES}
    for table in TABLES:
        request = create_request(table, prefix=environment.table_prefix, guarded=environment.keeps_data)
        stream = request.pop("StreamSpecification", {"StreamViewType": None})
        assert isinstance(stream, dict)
        template = made[environment.table_prefix + table.name]
        assert {key: template[key] for key in request} == request
        assert template.get("StreamSpecification", {}).get("StreamViewType") == stream["StreamViewType"]


def test_broker_accounts_are_in_the_stack_of_users_and_what_trades_is_not(auth: Template) -> None:
    assert list(tables(auth)) == [auth.environment.table_prefix + TableName.IDENTITY]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_table_expires_items_can_be_taken_back_in_time_and_is_encrypted(name: str) -> None:
    for table in (tables(auth_of(name)) | tables(trading_of(name))).values():
        assert table["TimeToLiveSpecification"] == {"AttributeName": EXPIRY, "Enabled": True}
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["SSESpecification"]["SSEEnabled"] is True


def test_broker_accounts_are_encrypted_with_the_key_of_their_secrets_which_is_rotated(auth: Template) -> None:
    ((key, properties),) = auth.properties("KMS::Key").items()
    (table,) = tables(auth).values()
    assert table["SSESpecification"]["KMSMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    assert properties["EnableKeyRotation"] is True


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_what_holds_data_is_kept_when_its_stack_goes_in_production_and_only_there(name: str) -> None:
    keeps = ENVIRONMENTS[name].keeps_data
    for template in (auth_of(name), trading_of(name)):
        for type_ in HOLDS_DATA:
            for resource in template.all(type_).values():
                assert resource["DeletionPolicy"] == (KEPT if keeps else NOT_KEPT)
                assert resource["UpdateReplacePolicy"] == (KEPT if keeps else NOT_KEPT)
        assert all(table["DeletionProtectionEnabled"] is keeps for table in tables(template).values())


# ---------------------------------------------------------------- logs


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_log_groups_have_generated_names_go_with_their_stack_and_keep_logs_as_the_environment_says(name: str) -> None:
    """A fixed name would be there already when a destroyed stack is deployed again."""
    for template in (auth_of(name), trading_of(name)):
        groups = template.all("Logs::LogGroup")
        assert groups
        for group in groups.values():
            assert "LogGroupName" not in group["Properties"]
            assert group["Properties"]["RetentionInDays"] == ENVIRONMENTS[name].log_days
            assert group["DeletionPolicy"] == NOT_KEPT
        assert template.all("Custom::LogRetention") == {}


def test_every_function_writes_to_a_log_group_of_its_own(trading: Template) -> None:
    groups = [text(function["LoggingConfig"]["LogGroup"]) for function in trading.functions().values()]
    assert {name.strip("<>") for name in groups} <= trading.all("Logs::LogGroup").keys()
    assert len(set(groups)) == len(groups)


# ---------------------------------------------------------------- functions


def test_every_entry_point_is_a_function_and_nothing_else_is(trading: Template) -> None:
    functions = trading.functions()
    assert functions.keys() == POINTS.keys()
    assert len(functions) == len(trading.all("Lambda::Function"))
    for name, function in functions.items():
        point = POINTS[name]
        assert function["Handler"] == point.handler
        assert function["Timeout"] == point.timeout
        assert function["MemorySize"] == point.memory
        assert function["Runtime"] == "python3.12"
        assert function["TracingConfig"] == {"Mode": "Active"}


def test_only_functions_of_the_api_carry_its_web_framework(trading: Template) -> None:
    layers = {
        name: properties["LayerName"].removeprefix(trading.environment.named("")).removesuffix("-dependencies")
        for name, properties in trading.properties("Lambda::LayerVersion").items()
    }
    for name, function in trading.functions().items():
        carried = [layers[layer["Ref"]] for layer in function["Layers"]]
        expected = ["events"] if POINTS[name].package is Package.EVENTS else ["events", "api"]
        assert carried == expected


def test_every_function_is_told_its_tables_and_shards_and_senders_their_queues(trading: Template) -> None:
    for name, function in trading.functions().items():
        told = function["Environment"]["Variables"]
        assert told["OPTION_BASKETS_TABLE_PREFIX"] == trading.environment.table_prefix
        assert told["OPTION_BASKETS_SHARDS"] == str(trading.environment.shards)
        assert told["POWERTOOLS_METRICS_NAMESPACE"] == NAMESPACE
        assert told["POWERTOOLS_SERVICE_NAME"] == trading.environment.resources
        for queue in QueueName:
            assert (f"OPTION_BASKETS_{queue.upper()}_QUEUE" in told) is (queue in POINTS[name].sends)
        assert ("OPTION_BASKETS_BUS" in told) is (name == "timer")
        assert ("OPTION_BASKETS_TIMER" in told) is (name == "watchdog")
        assert ("OPTION_BASKETS_SOCKET" in told) is (name in {"live", "socket"})


def test_entries_exits_and_the_timer_have_concurrency_that_nobody_takes_from_them(trading: Template) -> None:
    reserved = {
        name: function["ReservedConcurrentExecutions"]
        for name, function in trading.functions().items()
        if "ReservedConcurrentExecutions" in function
    }
    concurrency = trading.environment.concurrency
    assert reserved == {"entries": concurrency.entries, "exits": concurrency.exits, "timer": concurrency.timer}


# ---------------------------------------------------------------- events


def test_each_type_of_event_has_one_rule_which_leads_to_its_function_and_else_to_its_dead_letters(
    trading: Template,
) -> None:
    rules = trading.properties("Events::Rule")
    assert len(rules) == len(EventType)
    functions = trading.all("Lambda::Function")
    for rule in rules.values():
        (type_,) = rule["EventPattern"]["detail-type"]
        assert rule["EventPattern"]["source"] == ["option-baskets.timer"]
        (target,) = rule["Targets"]
        function = functions[target["Arn"]["Fn::GetAtt"][0]]["Properties"]
        point = next(point for point in ENTRY_POINTS if point.serves == type_)
        assert function["Handler"] == point.handler
        dead = target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
        assert trading.properties("SQS::Queue")[dead]["QueueName"] == trading.environment.named(f"{point.name}-dead")
        assert function["DeadLetterConfig"]["TargetArn"] == target["DeadLetterConfig"]["Arn"]
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 2}


def test_what_lambda_fails_at_is_tried_twice_more_within_a_minute(trading: Template) -> None:
    configured = trading.properties("Lambda::EventInvokeConfig").values()
    assert len(configured) == len(EventType)
    assert {(each["MaximumEventAgeInSeconds"], each["MaximumRetryAttempts"]) for each in configured} == {(60, 2)}


def test_the_timer_is_started_at_nine_every_day_and_looked_at_every_minute_on_the_exchange_s_clock(
    trading: Template,
) -> None:
    schedules = {each["Name"]: each for each in trading.properties("Scheduler::Schedule").values()}
    assert {name: each["ScheduleExpression"] for name, each in schedules.items()} == {
        trading.environment.named("start"): "cron(0 9 * * ? *)",
        trading.environment.named("watch"): "cron(* 9-23 * * ? *)",
    }
    watchdog = next(
        id_
        for id_, function in trading.properties("Lambda::Function").items()
        if function["FunctionName"] == trading.environment.named("watchdog")
    )
    for schedule in schedules.values():
        assert schedule["ScheduleExpressionTimezone"] == IST.key
        assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert schedule["Target"]["Arn"] == {"Fn::GetAtt": [watchdog, "Arn"]}
        assert "DeadLetterConfig" in schedule["Target"]
        assert json.loads(schedule["Target"]["Input"]).keys() == {"reason", "at"}


# ---------------------------------------------------------------- queues


@pytest.mark.parametrize("queue", QueueName)
def test_a_message_that_cannot_be_done_ends_in_the_dead_letters_of_its_queue(
    trading: Template, queue: QueueName
) -> None:
    properties = trading.queue(queue)
    redrive = properties["RedrivePolicy"]
    dead = trading.properties("SQS::Queue")[redrive["deadLetterTargetArn"]["Fn::GetAtt"][0]]
    assert dead["QueueName"] == trading.environment.named(f"{queue}-dead")
    assert redrive["maxReceiveCount"] == DELIVERIES[queue].receives
    assert dead["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_queues_are_standard_encrypted_and_closed_to_what_is_not_encrypted_on_its_way(trading: Template) -> None:
    queues = trading.properties("SQS::Queue")
    assert len(queues) == 2 * len(QueueName) + len(EventType) + len(("schedules", "live"))
    secured = {
        policy["Queues"][0]["Ref"]
        for policy in trading.properties("SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    for name, queue in queues.items():
        assert "FifoQueue" not in queue
        assert queue["SqsManagedSseEnabled"] is True
        assert name in secured


def test_workers_answer_message_by_message_and_are_asked_for_no_more_than_is_reserved(trading: Template) -> None:
    queues = trading.properties("SQS::Queue")
    sources = [
        source
        for source in trading.properties("Lambda::EventSourceMapping").values()
        if "StartingPosition" not in source
    ]
    drained = {}
    for source in sources:
        name = queues[source["EventSourceArn"]["Fn::GetAtt"][0]]["QueueName"]
        queue = QueueName(name.removeprefix(trading.environment.named("")))
        drained[queue] = source
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert source["BatchSize"] == DELIVERIES[queue].batch
        reserved = trading.functions()[queue]["ReservedConcurrentExecutions"]
        assert source["ScalingConfig"]["MaximumConcurrency"] <= reserved
    assert drained.keys() == set(QueueName)


@pytest.mark.parametrize("queue", QueueName)
def test_a_message_is_not_handed_out_again_while_its_worker_may_be_at_it(trading: Template, queue: QueueName) -> None:
    worker = next(point for point in ENTRY_POINTS if point.drains is queue)
    assert trading.queue(queue)["VisibilityTimeout"] > worker.timeout


def test_a_message_outlives_its_wait_and_not_its_day(trading: Template) -> None:
    ahead = load_cadence()[EventType.SCHEDULE_STRATEGY_TRIGGER].horizon + EARLIER
    for queue in QueueName:
        assert ahead.total_seconds() < trading.queue(queue)["MessageRetentionPeriod"] < 24 * 3600


# ---------------------------------------------------------------- the API and live updates


def test_every_route_but_three_takes_a_token_of_the_pool(trading: Template) -> None:
    routes = {
        route["RouteKey"]: route
        for route in trading.properties("ApiGatewayV2::Route").values()
        if not route["RouteKey"].startswith("$")
    }
    assert routes.keys() == OPEN_ROUTES | PROTECTED_ROUTES
    for key, route in routes.items():
        is_open = key in OPEN_ROUTES
        assert route["AuthorizationType"] == ("NONE" if is_open else "JWT")
        if not is_open:
            assert text(route["AuthorizerId"]) == f"<import {trading.environment.exported('ApiAuthorizer')}>"


def test_the_authorizer_takes_tokens_of_this_pool_made_for_this_client(auth: Template) -> None:
    (authorizer,) = auth.properties("ApiGatewayV2::Authorizer").values()
    (pool,), (client,) = auth.all("Cognito::UserPool"), auth.all("Cognito::UserPoolClient")
    assert authorizer["AuthorizerType"] == "JWT"
    assert [text(each) for each in authorizer["JwtConfiguration"]["Audience"]] == [f"<{client}>"]
    issuer = text(authorizer["JwtConfiguration"]["Issuer"])
    assert issuer == f"https://cognito-idp.<AWS::Region>.amazonaws.com/<{pool}>"


def test_live_updates_come_from_the_streams_of_what_trades(trading: Template) -> None:
    shown = {}
    for source in trading.properties("Lambda::EventSourceMapping").values():
        if "StartingPosition" in source:
            table, attribute = source["EventSourceArn"]["Fn::GetAtt"]
            assert attribute == "StreamArn"
            assert source["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0] in trading.all("SQS::Queue")
            assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
            name = trading.properties("DynamoDB::Table")[table]["TableName"]
            filters = source.get("FilterCriteria", {}).get("Filters", [])
            shown[name] = [json.loads(each["Pattern"])["dynamodb"]["Keys"] for each in filters]
    prefix = trading.environment.table_prefix
    assert shown.keys() == {prefix + table.name for table in TABLES if table.stream}
    assert shown[prefix + TableName.HISTORY] == []
    assert shown[prefix + TableName.CONFIGURATIONS] == [
        {"sk": {"S": [{"prefix": keys.RUNS}]}},
        {"pk": {"S": [{"prefix": keys.TICKS}]}},
    ]


def test_an_administrator_is_who_is_in_the_group(auth: Template) -> None:
    (group,) = auth.properties("Cognito::UserPoolGroup").values()
    assert group["GroupName"] == "admin"


def test_users_prove_themselves_as_the_environment_says(auth: Template) -> None:
    people = auth.environment.people
    (pool,), (client,) = (
        auth.properties("Cognito::UserPool").values(),
        auth.properties("Cognito::UserPoolClient").values(),
    )
    assert pool["MfaConfiguration"] == ("ON" if people.mfa == "required" else "OPTIONAL")
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is (people.sign_up == "invited")
    assert pool["Policies"]["PasswordPolicy"]["MinimumLength"] == 15
    assert ("ALLOW_USER_PASSWORD_AUTH" in client["ExplicitAuthFlows"]) is people.password_login
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["GenerateSecret"] is False


# ---------------------------------------------------------------- between the stacks


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_what_one_stack_imports_the_other_exports(name: str) -> None:
    exported = {output["Export"]["Name"] for output in auth_of(name).body["Outputs"].values() if "Export" in output}
    imported = set(imports(trading_of(name).body))
    assert exported == {ENVIRONMENTS[name].exported(each) for each in EXPORTS}
    assert imported <= exported
    assert imported


def imports(value: object) -> list[str]:
    """Names of everything that is imported anywhere in a template."""
    if isinstance(value, dict):
        found = [value["Fn::ImportValue"]] if "Fn::ImportValue" in value else []
        return [*found, *(name for each in value.values() for name in imports(each))]
    return [name for each in value for name in imports(each)] if isinstance(value, list) else []


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_everything_with_a_name_of_ours_is_named_for_its_environment(name: str) -> None:
    keys = ("TableName", "QueueName", "FunctionName", "StateMachineName", "AlarmName", "DashboardName", "TopicName")
    environment = ENVIRONMENTS[name]
    for template in (auth_of(name), trading_of(name)):
        for resource in template.body["Resources"].values():
            named = [
                resource["Properties"][key] for key in keys if isinstance(resource.get("Properties", {}).get(key), str)
            ]
            assert all(each.startswith(environment.named("")) for each in named)


def test_no_environment_has_a_kind_of_resource_that_production_has_not_so_that_linting_one_is_enough() -> None:
    def types(name: str) -> Counter[str]:
        counted = Counter(resource["Type"] for resource in trading_of(name).body["Resources"].values())
        for one_a_gateway in ("AWS::EC2::EIP", "AWS::EC2::NatGateway"):
            counted.pop(one_a_gateway, None)
        return counted

    assert types("staging") == types("production")
    assert types("dev") < types("production")


# ---------------------------------------------------------------- the way out


@pytest.mark.parametrize("name", WITH_NETWORK)
def test_who_calls_brokers_leaves_by_addresses_that_are_told(name: str) -> None:
    template = trading_of(name)
    addresses = template.all("EC2::EIP")
    assert len(addresses) == ENVIRONMENTS[name].egress.gateways
    told = {text(output["Value"]).strip("<>") for output in template.body["Outputs"].values()}
    assert addresses.keys() <= told
    gateways = {each["AllocationId"]["Fn::GetAtt"][0] for each in template.properties("EC2::NatGateway").values()}
    assert gateways == addresses.keys()
    inside = {name for name, function in template.functions().items() if "VpcConfig" in function}
    assert inside == {point.name for point in ENTRY_POINTS if point.calls_brokers}


@pytest.mark.parametrize("name", WITH_NETWORK)
def test_nothing_comes_in_and_only_https_goes_out(name: str) -> None:
    (group,) = trading_of(name).properties("EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group
    assert [(rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) for rule in group["SecurityGroupEgress"]] == [
        (443, 443, "tcp")
    ]


def test_an_address_a_broker_has_whitelisted_outlives_the_stack_in_production() -> None:
    assert {each["DeletionPolicy"] for each in trading_of("production").all("EC2::EIP").values()} == {KEPT}


def test_without_static_egress_there_is_no_network_to_pay_for() -> None:
    assert trading_of("dev").all("EC2::VPC") == {}


# ---------------------------------------------------------------- alarms


def alarms(template: Template) -> dict[str, Any]:
    prefix = template.environment.named("")
    return {
        alarm["AlarmName"].removeprefix(prefix): alarm for alarm in template.properties("CloudWatch::Alarm").values()
    }


def test_there_is_an_alarm_on_each_thing_that_is_measured_and_told_by_the_platform(trading: Template) -> None:
    ours = {alarm["MetricName"] for alarm in alarms(trading).values() if alarm["Namespace"] == NAMESPACE}
    assert ours == {each.value for each in Measure} - {Measure.ORDERS_SENT.value}


def test_every_dead_letter_queue_has_an_alarm_at_its_first_message(trading: Template) -> None:
    dead = {name for name, queue in trading.properties("SQS::Queue").items() if queue["QueueName"].endswith("-dead")}
    watched = set()
    for alarm in alarms(trading).values():
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible":
            assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
            watched.add(alarm["Dimensions"][0]["Value"]["Fn::GetAtt"][0])
    assert watched == dead


def test_every_function_has_an_alarm_on_its_errors_and_the_timer_on_every_way_to_die(trading: Template) -> None:
    raised = alarms(trading)
    assert {f"{name}-errors" for name in POINTS} <= raised.keys()
    assert {"timer-failed", "timer-timed-out", "timer-aborted", "timer-restarts"} <= raised.keys()


def test_every_alarm_reaches_the_topic_and_silence_is_health(trading: Template) -> None:
    (topic,) = trading.all("SNS::Topic")
    for alarm in alarms(trading).values():
        assert [text(action) for action in alarm["AlarmActions"]] == [f"<{topic}>"]
        assert alarm["TreatMissingData"] == "notBreaching"


def test_limits_of_alarms_are_the_environment_s(trading: Template) -> None:
    limits, raised = trading.environment.alarms, alarms(trading)
    assert raised["boundary-offset"]["Threshold"] == limits.boundary_offset_ms
    assert raised["due-to-sent"]["Threshold"] == limits.due_to_sent_ms
    assert raised["refusals"]["Threshold"] == limits.refusals_in_five_minutes


def test_there_is_a_dashboard_with_every_alarm(trading: Template) -> None:
    (dashboard,) = trading.properties("CloudWatch::Dashboard").values()
    body = text(dashboard["DashboardBody"])
    assert all(f"<{name}.Arn>" in body for name in trading.all("CloudWatch::Alarm"))


# ---------------------------------------------------------------- cdk-nag


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_whatever_cdk_nag_is_told_to_leave_has_a_reason_in_the_template(name: str) -> None:
    """What it is not told to leave fails the synthesis, so that there would be no template."""
    for template in (auth_of(name), trading_of(name)):
        for resource in template.body["Resources"].values():
            left = resource.get("Metadata", {}).get("cdk_nag", {}).get("rules_to_suppress", [])
            assert all(len(each["reason"].split()) > 4 for each in left)
