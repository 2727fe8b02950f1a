# What deploy.sh and destroy.sh have in common: options, names, and a way to say what would be done. Sourced by them.
BIN=.venv/bin
PROJECT='' ENVIRONMENT='' ACCOUNT='' LOCAL=no DRY=no YES=no

usage() {
    echo "usage: $0 -p PROJECT -e dev|staging|production -a ACCOUNT [--local] [--dry-run] [--yes]" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case "$1" in
        -p) PROJECT=${2:-}; shift 2 || usage ;;
        -e) ENVIRONMENT=${2:-}; shift 2 || usage ;;
        -a) ACCOUNT=${2:-}; shift 2 || usage ;;
        --local) LOCAL=yes; shift ;;
        --dry-run) DRY=yes; shift ;;
        --yes) YES=yes; shift ;;
        *) usage ;;
    esac
done
[ -n "$PROJECT" ] && [ -n "$ENVIRONMENT" ] && [ -n "$ACCOUNT" ] || usage

run() {
    echo "+ $*"
    [ "$DRY" = yes ] || "$@"
}

confirm() {
    [ "$YES" = yes ] || [ "$DRY" = yes ] || [ "$LOCAL" = yes ] && return
    read -r -p "$1? Type the environment's name: " answer
    [ "$answer" = "$ENVIRONMENT" ] || { echo "not done"; exit 1; }
}

[ -x "$BIN/python" ] && [ -x .venv-infra/bin/python ] || make setup .venv-infra/.ready
names=$("$BIN/python" -m infra.preflight --names "$PROJECT" "$ENVIRONMENT" "$ACCOUNT")
eval "$names"
export AWS_REGION="$REGION" CDK_DISABLE_VERSION_CHECK=1
export CDK_OUTDIR="out/deploy-$ENVIRONMENT" OPTION_BASKETS_BUILD=out/lambda-deployable
if [ "$LOCAL" = yes ]; then
    if [ -z "${AWS_ENDPOINT_URL:-}" ]; then
        echo "no endpoint; start the emulator (docs/operations.md) and set AWS_ENDPOINT_URL to where it listens" >&2
        exit 2
    fi
    unset AWS_PROFILE
    export AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3="$AWS_ENDPOINT_URL" AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
    export OPTION_BASKETS_BUILD=out/lambda-local CDK_OUTDIR="out/local-$ENVIRONMENT"
else
    unset AWS_ENDPOINT_URL
    export AWS_PROFILE="$PROFILE"
fi
# 2.1148.1 reads what the pinned aws-cdk-lib writes; newer major versions refuse it.
CDK=(npx --yes aws-cdk@2.1148.1 --no-notices --app "$CDK_OUTDIR")
