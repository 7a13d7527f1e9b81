#!/usr/bin/env python3
"""Times DMRG of Heisenberg chains: metatt beside TeNPy and block2, where they can be imported.

    scripts/bench_chains.py PROGRAM [--threads N ...] [--repeat N] [--large]

runs every case with every program in turn, --repeat times, and prints the least seconds of each and their
ratio to metatt's. PROGRAM is build/apps/metatt; TeNPy and block2 run under this Python. --large adds the
chain of 40 sites at fixed bond dimensions 256 and 512, where the table also says which share of the time the
floating-point operations of the products need at OpenBLAS's rate for large matrices. OPENBLAS_CORETYPE
decides about the kernels, and is printed.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCHEDULE = [10, 20, 100, 100, 200]


def case(name, twice_spin, conserve, sites=100, bonds=SCHEDULE, cutoff=1e-10, start_bond=0):
    return dict(name=name, twice_spin=twice_spin, conserve=conserve, sites=sites, bonds=bonds, cutoff=cutoff,
                start_bond=start_bond)


STANDARD = [
    case("S = 1/2, N = 100, dense", 1, False),
    case("S = 1/2, N = 100, 2Sz", 1, True),
    case("S = 1, N = 100, dense", 2, False),
    case("S = 1, N = 100, 2Sz", 2, True),
]
LARGE = [
    case(f"S = 1/2, N = 40, dense, m = {m}, a sweep", 1, False, 40, [m, m, m], 0, m) for m in (256, 512)
]


def run_metatt(program, case, threads):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [program, "dmrg", "--model", "heisenberg", "--sites", str(case["sites"]),
             "--site", f"spin {case['twice_spin']}/2", "--conserve", "2Sz" if case["conserve"] else "none",
             "--maximum_bond", ",".join(map(str, case["bonds"])), "--sweeps", str(len(case["bonds"])),
             "--cutoff", str(case["cutoff"]), "--noise", "0", "--energy_tolerance", "0",
             "--random_bond", str(case["start_bond"]), "--threads", str(threads), "--measure", "Id",
             "--output_dir", f"{folder}/out"], check=True, capture_output=True)
        rows = [json.loads(line) for line in open(f"{folder}/out/sweeps.jsonl")]
    sweeps = [row for row in rows if row["event"] == "sweep"]
    return [row["seconds"] for row in sweeps], sweeps[-1]["energy"]


def run_tenpy(case):
    import warnings

    from tenpy.algorithms.dmrg import TwoSiteDMRGEngine
    from tenpy.models.spins import SpinChain
    from tenpy.networks.mps import MPS

    warnings.simplefilter("ignore")
    model = SpinChain(dict(S=case["twice_spin"] / 2, L=case["sites"], bc_MPS="finite", Jx=1, Jy=1, Jz=1,
                           conserve="Sz" if case["conserve"] else None))
    sites = model.lat.mps_sites()
    highest = case["twice_spin"]
    if case["start_bond"]:
        state = MPS.from_desired_bond_dimension(sites, case["start_bond"], bc="finite")
    else:
        state = MPS.from_product_state(sites, [highest * (1 - i % 2) for i in range(case["sites"])])
    engine = TwoSiteDMRGEngine(state, model, dict(
        mixer=False, lanczos_params=dict(N_min=3, N_max=3, reortho=False), N_sweeps_check=1, P_tol_to_trunc=None,
        E_tol_to_trunc=None, trunc_params=dict(svd_min=None, trunc_cut=case["cutoff"]**0.5 or None)))
    seconds = []
    for bond in case["bonds"]:
        engine.trunc_params["chi_max"] = bond
        start = time.perf_counter()
        engine.sweep()
        seconds.append(time.perf_counter() - start)
    return seconds, float(model.H_MPO.expectation_value(engine.psi))


def run_block2(case, threads):
    if not case["conserve"]:
        return None  # its states always have a symmetry
    from pyblock2.driver.core import DMRGDriver, SymmetryTypes

    with tempfile.TemporaryDirectory() as folder:
        driver = DMRGDriver(scratch=folder, symm_type=SymmetryTypes.SGB, n_threads=threads, stack_mem=4 << 30)
        driver.initialize_system(n_sites=case["sites"], heis_twos=case["twice_spin"], heis_twosz=0)
        terms = driver.expr_builder()
        for i in range(case["sites"] - 1):
            terms.add_term("PM", [i, i + 1], 0.5)
            terms.add_term("MP", [i, i + 1], 0.5)
            terms.add_term("ZZ", [i, i + 1], 1.0)
        mpo = driver.get_mpo(terms.finalize(adjust_order=False), iprint=0)
        state = driver.get_random_mps("state", bond_dim=case["bonds"][0])
        start = time.perf_counter()
        # Its sweeps go one way, ours there and back.
        energy = driver.dmrg(mpo, state, n_sweeps=2 * len(case["bonds"]), tol=0, iprint=0, cutoff=case["cutoff"],
                             bond_dims=[bond for bond in case["bonds"] for _ in range(2)],
                             noises=[0], thrds=[1e-9], dav_max_iter=3)
        return [time.perf_counter() - start], float(energy)


def peer(name, case, threads):
    """One run in a process of its own, where the threads are set before any library is loaded."""
    environment = dict(os.environ, **{f"{library}_NUM_THREADS": str(threads)
                                      for library in ("OMP", "OPENBLAS", "MKL")})
    command = [sys.executable, __file__, "--peer", name, json.dumps(case), str(threads)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    try:
        return json.loads(result.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return None


def gemm_rate():
    """GFLOP/s of dgemm at 1024, with the threads that OPENBLAS_NUM_THREADS says."""
    library = ctypes.CDLL("libopenblas.so.0")
    n = 1024
    numbers = (ctypes.c_double * (n * n))(*([0.5] * (n * n)))
    out = (ctypes.c_double * (n * n))()
    library.cblas_dgemm.restype = None
    best = 1e9
    for _ in range(6):
        start = time.perf_counter()
        library.cblas_dgemm(101, 111, 111, n, n, n, ctypes.c_double(1), numbers, n, numbers, n, ctypes.c_double(0),
                            out, n)
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best / 1e9, None


def products_gflop(case):
    """Of the products of a sweep there and back, three for each pair of sites, 5 operator channels of which the
    identity costs nothing."""
    bond = lambda k: min(2 ** min(k, case["sites"] - k), case["bonds"][-1])
    pairs = [(bond(k), bond(k + 2)) for k in range(case["sites"] - 1)]
    return 6 * sum(2 * 4 * 4 * (l * l * r + l * r * r) for l, r in pairs) / 1e9


def seconds_of(case, result):
    """The whole schedule, or the fastest sweep after the first where all are alike."""
    return min(result[0][1:]) if case["start_bond"] else sum(result[0])


def measure(program, case, threads, repeat):
    runs = {"metatt": lambda: run_metatt(program, case, threads),
            "TeNPy": lambda: peer("tenpy", case, threads),
            "block2": lambda: peer("block2", case, threads)}
    best = {}
    for _ in range(repeat):
        for name, run in runs.items():
            result = run()
            if result is None:
                continue
            seconds = seconds_of(case, result)
            if name not in best or seconds < best[name][0]:
                best[name] = (seconds, result[1])
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    print("OPENBLAS_CORETYPE:", os.environ.get("OPENBLAS_CORETYPE", "not set"))
    print("| case | threads | program | seconds | metatt / it | energy |\n|---|---:|---|---:|---:|---:|")
    for case in STANDARD + (LARGE if arguments.large else []):
        for threads in arguments.threads:
            best = measure(arguments.program.resolve(), case, threads, arguments.repeat)
            own = best["metatt"][0]
            for name, (seconds, energy) in best.items():
                print(f"| {case['name']} | {threads} | {name} | {seconds:.2f} | {own / seconds:.2f} | {energy:.9f} |",
                      flush=True)
            if case["start_bond"]:
                rate = peer("gemm", case, threads)[0]
                floor = products_gflop(case) / rate
                print(f"| {case['name']} | {threads} | products at {rate:.0f} GFLOP/s | {floor:.2f} | "
                      f"{own / floor:.2f} | |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        name, case, threads = sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
        print(json.dumps({"tenpy": lambda: run_tenpy(case), "block2": lambda: run_block2(case, threads),
                          "gemm": gemm_rate}[name]()))
    else:
        main()
