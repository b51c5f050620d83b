"""Writes one small table with missing values in every format of a catalogue that astropy writes."""

import gzip
from pathlib import Path

import numpy as np
from astropy.table import MaskedColumn, Table

folder = Path(__file__).parent
table = Table()
table["id"] = np.array([36411452835238206, 36411452835248579, 36411452835249051], np.int64)
table["name"] = ["007", "b c", "9"]
table["morph"] = MaskedColumn(["spiral", "x", "merger"], mask=[False, True, False])
table["z"] = MaskedColumn([0.1, 0, 0.3], mask=[False, True, False])
table["n"] = MaskedColumn(np.array([3, 0, -5], np.int32), mask=[False, True, False], fill_value=-99)
table["good"] = [True, False, True]
for how in ["tabledata", "binary", "binary2"]:
    # BINARY has no place for a missing integer.
    columns = table.colnames if how != "binary" else [name for name in table.colnames if name != "n"]
    table[columns].write(folder / f"{how}.vot", format="votable", tabledata_format=how, overwrite=True)
table["big"] = np.array([1, 2**63 + 4096, 3], np.uint64)
table.write(folder / "table.ecsv", format="ascii.ecsv", overwrite=True)
table.write(folder / "table.fits", overwrite=True)
table.write(folder / "table.csv", format="ascii.csv", overwrite=True)
text = (folder / "table.csv").read_bytes()
(folder / "table.csv").unlink()
(folder / "table.csv.gz").write_bytes(gzip.compress(b"# from a survey\n#\n" + text, mtime=0))
