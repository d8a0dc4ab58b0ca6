"""Tasks per second of a burst of no-op functions through ProcessPoolExecutor with 4 warm workers."""
import sys
import time
from concurrent.futures import ProcessPoolExecutor


def square(x):
    return x * x


if __name__ == "__main__":
    count = int(sys.argv[1])
    with ProcessPoolExecutor(4) as executor:
        list(executor.map(square, range(200)))
        start = time.perf_counter()
        futures = [executor.submit(square, n) for n in range(count)]
        results = [future.result() for future in futures]
        seconds = time.perf_counter() - start
    assert results[-1] == (count - 1) ** 2
    print(count / seconds)
