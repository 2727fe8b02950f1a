#!/usr/bin/env bash
# Destroys both stacks of one environment. What production holds (tables, users, keys, addresses) outlives them.
#   ./destroy.sh -p options-strategy-platform -e dev -a account2 [--yes] [--dry-run] [--local]
set -euo pipefail
cd "$(dirname "$0")"
. infra/command_line.sh

run "$BIN/python" -m infra.preflight "$PROJECT" "$ENVIRONMENT" "$ACCOUNT"
confirm "destroy $ENVIRONMENT on $ACCOUNT"
run "$BIN/python" -m infra.destruction "$ENVIRONMENT"
