"""``python -m infra.cost`` writes the tables of docs/cost.md anew, and prints the totals."""

from infra.cost.page import PAGE, USERS, Tables


def main() -> None:
    tables = Tables()
    PAGE.write_text(tables.page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for users in USERS:
        print(f"{users:,} users: {tables.total(users):,.2f} USD a month")


if __name__ == "__main__":
    main()
