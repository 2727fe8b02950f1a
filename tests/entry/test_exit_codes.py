"""What a supervisor learns from the way a command ends."""

from pathlib import Path

from click.testing import CliRunner

from option_baskets.cli import main
from option_baskets.wiring import SECOND_PATH_FILE


def test_a_halt_ends_with_three_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / SECOND_PATH_FILE).write_bytes(b'{"no": "commit"}\n' * 2)
    example = Path(__file__).parents[2] / "examples" / "conservative-income.toml"
    result = CliRunner().invoke(main, ["run", str(example), "--speed", "max", "--data", str(tmp_path)])
    assert result.exit_code == 3
    assert "is damaged in line 1" in result.output
