"""Trains the pose VAE and adds it to models/person/prior.safetensors.

What       a variational autoencoder (Kingma & Welling 2014) over the 23 joints below the root, after VPoser
           (Pavlakos et al. 2019): a Gaussian likelihood of each joint's six numbers with a learned deviation
           (Rybkin et al. 2021), plus the angle of rotations and the places of joints by forward kinematics,
           plus the Kullback-Leibler term with a small weight. The code and the weights are our own.
           Every tenth recording is held out. The two CMU archives overlap: a recording that shows what
           one of the others shows (half of its poses within 1 degree) is never held out.
Inputs     training/out/pool.safetensors of retarget_mocap.py; the body's joints.
Outputs    tensors vae_* (docs/pack.md) in --prior, beside what learn_prior.py wrote; --work: curve.csv, the
           checkpoint vae.pt (written every ten epochs; a killed run goes on from it), split.txt.
Licences   learned from CMU motion capture (free for all uses, mocap.cs.cmu.edu, NSF EIA-0196217) and
           Mesh2Motion (CC0); the numbers are released as CC0.
Command    OMP_NUM_THREADS=1 python training/train_prior.py
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from body_file import JOINTS, load_body, metadata
from pose_vae import TURNING, PoseVae, geodesic, joint_places, matrices, mirror_order, pose_numbers

HELD_OUT = 10
SAME = np.radians(1.0)
ANGLE, PLACES = 10.0, 100.0
"""Weights of the mean angle (radians) and of the squared error of joints (m^2), each summed over the joints."""
CHECKPOINT = 10
WARM_UP = 0.25
COLUMNS = "epoch,nll,angle_rad,places_m2,divergence,held_out_deg"


def read_pool(path):
    """Numbers [M, 138], recording of each pose [M], and the recordings' names."""
    if not path.is_file():
        raise SystemExit(f"train_prior: {path} not found; run training/retarget_mocap.py first")
    file = load_file(path)
    missing = {"poses", "clip", "clip_names"} - set(file)
    if missing:
        raise SystemExit(f"train_prior: {path}: no tensor {', '.join(sorted(missing))}; run retarget_mocap.py again")
    poses, clip = file["poses"].astype(float), file["clip"].astype(int)
    if poses.ndim != 3 or poses.shape[1:] != (len(JOINTS), 3) or len(clip) != len(poses) or not np.isfinite(poses).all():
        raise SystemExit(f"train_prior: {path}: `poses` must be finite and [M, {len(JOINTS)}, 3], `clip` [M]")
    return pose_numbers(poses), clip, bytes(file["clip_names"]).decode().split("\n")


def shown_elsewhere(x, clip, candidate):
    """Whether half of the poses of a recording are, but for `SAME` a joint, poses of another."""
    mine, others = x[clip == candidate], x[clip != candidate]
    # Two columns that turn by a small angle a move by about a * sqrt(4/3) on average over axes.
    limit = SAME**2 * 4 / 3 * TURNING
    square = (mine**2).sum(1)[:, None] + (others**2).sum(1) - 2 * mine @ others.T
    return np.mean(square.min(1) < limit) >= 0.5


def split(x, clip, names):
    """Indices of the recordings held out."""
    present = [c for c in range(len(names)) if np.any(clip == c)]
    return [c for c in present[HELD_OUT // 2 :: HELD_OUT] if not shown_elsewhere(x, clip, c)]


def losses(vae, x, rest):
    """Negative log-likelihood, angle, places, divergence, each a mean over poses."""
    mu, log_var = vae.encode(x)
    decoded = vae.decode(mu + torch.randn_like(mu) * (0.5 * log_var).exp())
    sigma = vae.sigma().repeat_interleave(6)
    likelihood = (0.5 * ((x - decoded) / sigma).square() + sigma.log()).sum(-1).mean()
    divergence = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1).mean()
    turns, truth = matrices(decoded), matrices(x)
    angle = geodesic(turns, truth).sum(-1).mean()
    places = (joint_places(turns, rest) - joint_places(truth, rest)).square().sum((-1, -2)).mean()
    return likelihood, angle, places, divergence


@torch.no_grad()
def errors(vae, x):
    """Geodesic errors [N, 23] in degrees of decoding the latent mean."""
    turns = matrices(vae.decode(vae.encode(x)[0]))
    return torch.rad2deg(geodesic(turns, matrices(x))).numpy()


@torch.no_grad()
def report(vae, train, test):
    for label, x in (("learned from", train), ("held out", test)):
        off = errors(vae, x)
        print(f"{label}: {len(x)} poses, reconstruction error in degrees: mean {off.mean():.2f}, median {np.median(off):.2f}, "
              f"p95 {np.percentile(off, 95):.2f}")
    per_joint = off.mean(0)
    worst = np.argsort(-per_joint)[:6]
    print("worst joints, held out: " + ", ".join(f"{JOINTS[1 + k]} {per_joint[k]:.1f}" for k in worst))
    mu, log_var = vae.encode(test)
    divergence = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).mean(0)
    print(f"divergence, held out: {divergence.sum():.1f} nats over {int((divergence > 0.1).sum())} of {vae.latent} dimensions "
          f"above 0.1; squared mean {mu.square().sum(-1).mean():.1f}")
    print("deviation of a joint's numbers: " + ", ".join(f"{n} {s:.3f}" for n, s in zip(JOINTS[1:], vae.sigma().tolist())))


def save(vae, path):
    """Adds the tensors to the Gaussian's file."""
    if not path.is_file():
        raise SystemExit(f"train_prior: {path} not found; run training/learn_prior.py first")
    kept = {name: t for name, t in load_file(path).items() if not name.startswith("vae_")}
    save_file(kept | vae.tensors(), path, metadata=metadata("CC0-1.0; learned from CMU motion capture and Mesh2Motion"))
    print(f"{path}: {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, default=Path("training/out/pool.safetensors"))
    parser.add_argument("--body", type=Path, default=Path("models/person/body.safetensors"))
    parser.add_argument("--prior", type=Path, default=Path("models/person/prior.safetensors"))
    parser.add_argument("--work", type=Path, default=Path("training/out/vae"))
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--latent", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=130)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--beta", type=float, default=0.1, help="weight of the divergence")
    parser.add_argument("--jitter", type=float, default=0.01, help="deviation of noise on the poses that are learned from")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    x, clip, names = read_pool(args.pool)
    held_out = split(x, clip, names)
    test = np.isin(clip, held_out)
    (args.work / "split.txt").write_text("".join(f"{names[c]}\n" for c in held_out))
    train, test = torch.from_numpy(x[~test]), torch.from_numpy(x[test])
    print(f"{len(train)} poses to learn from; {len(test)} of {len(held_out)} recordings held out")
    rest = torch.from_numpy(load_body(args.body)["j_template"].astype(np.float32))
    index, sign = mirror_order()
    sign = torch.from_numpy(sign)

    torch.manual_seed(args.seed)
    vae = PoseVae(args.hidden, args.latent)
    optimizer = torch.optim.Adam(vae.parameters(), lr=args.lr)
    batches = len(train) // args.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * batches)
    checkpoint, first = args.work / "vae.pt", 0
    if checkpoint.is_file():
        at = torch.load(checkpoint, weights_only=True)
        vae.load_state_dict(at["vae"])
        optimizer.load_state_dict(at["optimizer"])
        schedule.load_state_dict(at["schedule"])
        torch.set_rng_state(at["random"])
        first = at["epoch"]
        print(f"{checkpoint}: going on after epoch {first}")
    path = args.work / "curve.csv"
    # Of a killed run, what came after its checkpoint is done again.
    rows = path.read_text().splitlines()[1 : first + 1] if first else []
    path.write_text("\n".join([COLUMNS, *rows]) + "\n")
    with path.open("a", newline="") as file:
        curve = csv.writer(file, lineterminator="\n")
        bar = tqdm(range(first, args.epochs), initial=first, total=args.epochs, unit="epoch")
        for epoch in bar:
            sums = np.zeros(4)
            # Rises over the first quarter: a full weight at once silences most of the latent for good.
            beta = args.beta * min(1, (epoch + 1) / (WARM_UP * args.epochs))
            for chosen in torch.randperm(len(train))[: batches * args.batch].split(args.batch):
                batch = train[chosen]
                batch = torch.where(torch.rand(len(batch), 1) < 0.5, batch[:, index] * sign, batch)
                batch = batch + args.jitter * torch.randn_like(batch)
                parts = losses(vae, batch, rest)
                loss = parts[0] + ANGLE / TURNING * parts[1] + PLACES / TURNING * parts[2] + beta * parts[3]
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                sums += [float(p.detach()) for p in parts]
            off = errors(vae, test).mean()
            curve.writerow([epoch + 1, *(f"{s / batches:.5g}" for s in sums), f"{off:.3f}"])
            file.flush()
            bar.set_postfix_str(f"nll {sums[0] / batches:.1f}, held out {off:.2f} deg")
            if (epoch + 1) % CHECKPOINT == 0 or epoch + 1 == args.epochs:
                torch.save({"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
                            "random": torch.get_rng_state(), "epoch": epoch + 1}, checkpoint)
    report(vae, train, test)
    save(vae, args.prior)


if __name__ == "__main__":
    main()
