"""The way out to brokers: a network whose only exits have elastic IPs. docs/operations.md: what one may be used for."""

from dataclasses import dataclass

from aws_cdk import CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs

from infra.environments import Environment
from infra.retention import retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    vpc: ec2.Vpc
    subnets: ec2.SubnetSelection
    outward: ec2.SecurityGroup
    """Lets out HTTPS and nothing in."""


def make_network(scope: Stack, environment: Environment) -> Network | None:
    """The network, or None where the environment has no static egress. Its addresses are outputs of the stack.

    DynamoDB is reached by a gateway endpoint, so that the busiest traffic does not pass (and pay) the NAT gateway.
    """
    if not environment.egress.static:
        return None
    addresses = [
        ec2.CfnEIP(scope, f"BrokerAddress{number}", domain="vpc") for number in range(environment.egress.gateways)
    ]
    for number, address in enumerate(addresses):
        if environment.keeps_data:  # a broker takes a week to whitelist another
            address.apply_removal_policy(RemovalPolicy.RETAIN)
        CfnOutput(
            scope, f"BrokerAddress{number}Output", value=address.ref, description="Whitelist this address at the broker"
        )
    log = logs.LogGroup(
        scope, "FlowLog", retention=retention(environment.log_days), removal_policy=RemovalPolicy.DESTROY
    )
    vpc = ec2.Vpc(
        scope,
        "Network",
        vpc_name=environment.named("network"),
        max_azs=2,
        nat_gateways=environment.egress.gateways,
        nat_gateway_provider=ec2.NatProvider.gateway(
            eip_allocation_ids=[each.attr_allocation_id for each in addresses]
        ),
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False),
            ec2.SubnetConfiguration(name="functions", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
        ],
        gateway_endpoints={
            "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB)
        },
        flow_logs={
            "Flow": ec2.FlowLogOptions(
                destination=ec2.FlowLogDestination.to_cloud_watch_logs(log), traffic_type=ec2.FlowLogTrafficType.REJECT
            )
        },
    )
    outward = ec2.SecurityGroup(
        scope, "Outward", vpc=vpc, description="HTTPS out, nothing in", allow_all_outbound=False
    )
    outward.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "brokers and AWS")
    return Network(
        vpc=vpc,
        subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
        outward=outward,
    )
