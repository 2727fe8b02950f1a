#!/usr/bin/env bash
# Deploys both stacks of one environment: account, bootstrap, packages, templates, difference, deployment, smoke test.
#   ./deploy.sh -p options-strategy-platform -e dev -a account2 [--yes] [--dry-run]
#   AWS_ENDPOINT_URL=http://127.0.0.1:4566 ./deploy.sh -p options-strategy-platform -e dev -a account2 --local
# --local does the same to an emulator, which it bootstraps. --dry-run prints the commands. docs/operations.md has more.
set -euo pipefail
cd "$(dirname "$0")"
. infra/command_line.sh

if [ "$LOCAL" = no ]; then
    run "$BIN/python" -m infra.preflight "$PROJECT" "$ENVIRONMENT" "$ACCOUNT"
    run "$BIN/python" -m infra.packages --deployable --out "$OPTION_BASKETS_BUILD"
else
    run "$BIN/python" -m infra.packages --local --out "$OPTION_BASKETS_BUILD"
fi
run rm -rf "$CDK_OUTDIR"
run env OPTION_BASKETS_ENVIRONMENTS="$ENVIRONMENT" PYTHONPATH=src .venv-infra/bin/python -m infra.app
if [ "$LOCAL" = yes ]; then
    run "${CDK[@]}" bootstrap "aws://000000000000/$REGION"
    run "$BIN/python" -m infra.preflight "$PROJECT" "$ENVIRONMENT" "$ACCOUNT"
fi
run "${CDK[@]}" diff "$AUTH_STACK" "$TRADING_STACK"
confirm "deploy this to $ENVIRONMENT on $ACCOUNT"
run "${CDK[@]}" deploy "$AUTH_STACK" "$TRADING_STACK" --require-approval never --outputs-file "$CDK_OUTDIR/outputs.json"
run "$BIN/python" -m infra.smoke "$ENVIRONMENT"
