"""``baskets smile``: curves of several expiries in the terminal and as a picture."""

from pathlib import Path

from click.testing import CliRunner, Result

from option_baskets.cli import main


def smile(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(main, ["smile", *map(str, arguments)])


def test_the_nearest_three_expiries_are_drawn_with_their_numbers(muhurat: Path) -> None:
    result = smile(muhurat, "--at", "14:00")
    assert result.exit_code == 0, result.output
    assert "NIFTY at 2025-10-21 14:00:00, implied volatility in %" in result.output
    expiries = [line.split()[1] for line in result.output.splitlines() if line.startswith("━")]
    assert expiries == ["28-Oct-2025", "04-Nov-2025", "11-Nov-2025"]
    drawn = [line for line in result.output.splitlines() if any("\u2801" <= sign <= "\u28ff" for sign in line)]
    assert len(drawn) > 5
    assert result.output.count("▲") >= 2  # two forwards may fall on one character


def test_one_expiry_of_recorded_data_shows_the_skew_the_prices_have(june_10: Path) -> None:
    result = smile(june_10, "--at", "09:20", "--expiry", "0")
    assert "forward 16,303.75  IV 18.24 %  25-delta risk reversal -2.05  slope -1.49" in result.output


def test_the_picture_is_written(muhurat: Path, tmp_path: Path) -> None:
    picture = tmp_path / "new" / "smile.svg"
    result = smile(muhurat, "--at", "14:00", "--png", picture)
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"<?xml")
    assert f"picture in {picture}" in result.output.replace("\n", "")


def test_a_picture_of_no_known_kind_is_refused(muhurat: Path, tmp_path: Path) -> None:
    result = smile(muhurat, "--at", "14:00", "--png", tmp_path / "smile.doc")
    assert result.exit_code != 0
    assert "'smile.doc' does not end in a kind of picture, such as .png, .svg or .pdf" in " ".join(
        result.output.split()
    )


def test_an_expiry_without_a_volatility_is_left_out_and_none_at_all_is_an_error(june_10: Path) -> None:
    result = smile(june_10, "--at", "09:15")
    assert result.exit_code != 0
    assert "no expiry of NIFTY has a volatility at 09:15:00; choose another --at" in " ".join(result.output.split())
