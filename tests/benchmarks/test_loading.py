"""The generator of the loading benchmark."""

from benchmarks.recommendation import loading


def test_the_file_is_the_same_every_time_and_loads(tmp_path):
    for name in ("one.csv", "two.csv"):
        loading.write_ratings(tmp_path / name, 5_000)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    numbers = loading.load(str(tmp_path / "one.csv"), None)
    assert numbers["users"] <= 100
    everything = loading.load(str(tmp_path / "one.csv"), "all")
    assert everything["interactions"] > numbers["interactions"] > 0
