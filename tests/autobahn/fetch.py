"""Makes the test cases of Autobahn|Testsuite ready for this Python, in a folder.

The package is made for Python 2, so it is not installed: its archive is fetched by pip,
checked against the hash below, and of it the modules of cases alone are taken and
converted by 2to3. Argument: the folder. Nothing of it is ever committed.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile

PACKAGE = "autobahntestsuite==25.10.1"
SHA256 = "b083d6e15330fc16f3e5f0975cce2b15f21bfa0c6db09547316b1852c6dbd6df"
# Of no use here: compression is not offered, and one asks for a peer of its own.
LEFT_OUT = ("__init__.py", "case12_x_x.py", "case9_9_1.py")


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    cases = folder / "case"
    cases.mkdir(parents=True)
    unpack(fetch(folder), cases)
    convert(cases)
    # Written last: without it the folder is not finished.
    (folder / "complete").write_text(PACKAGE)


def fetch(folder):
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-binary", ":all:", "--dest", str(folder), PACKAGE], check=True)
    archives = list(folder.glob("*.tar.gz"))
    if len(archives) != 1:
        sys.exit(f"pip has brought {archives}, expected one archive")
    found = hashlib.sha256(archives[0].read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"{archives[0].name} has the hash {found}, expected {SHA256}")
    return archives[0]


def unpack(archive, cases):
    with tarfile.open(archive) as files:
        for file in files:
            path = pathlib.PurePosixPath(file.name)
            if path.parent.name == "case" and path.suffix == ".py" and path.name not in LEFT_OUT:
                # What is a byte to Python 2 becomes one character.
                text = files.extractfile(file).read().decode("latin-1")
                (cases / path.name).write_text(text, encoding="utf-8")
    (cases / "__init__.py").write_text("")


def convert(cases):
    command = [sys.executable, "-W", "ignore", "-m", "lib2to3", "--write", "--nobackups", str(cases)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"2to3 failed: {done.stderr[-500:]}")
    for path in cases.glob("*.py"):
        # What Python 2 took for new classes are bases in an impossible order.
        text = path.read_text(encoding="utf-8").replace("(object, Case, )", "(Case, )")
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
