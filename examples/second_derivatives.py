"""Derivatives of derivatives: jacobian, hessian, and a Newton step.

A gradient is a graph like any other, so it can be differentiated again.
"""

import numpy as np

import chainrule as cr


def rosenbrock(p: cr.Tensor) -> cr.Tensor:
    """(1 − x)² + 100 (y − x²)², a curved valley whose lowest point is (1, 1) (Rosenbrock 1960)."""
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def polar_to_plane(p: cr.Tensor) -> cr.Tensor:
    """(r, φ) to (r cos φ, r sin φ)."""
    return cr.stack([p[0] * cr.cos(p[1]), p[0] * cr.sin(p[1])])


def main() -> dict[str, float]:
    J = cr.jacobian(polar_to_plane, [2.0, 0.5]).numpy()
    determinant = float(np.linalg.det(J))
    print(f"The jacobian of polar coordinates at r = 2, φ = 0.5:\n{J.round(6)}\nIts determinant is r = {determinant:.6f}.")

    point = cr.parameter([-1.2, 1.0])
    steps = 0
    while rosenbrock(point).item() > 1e-20:
        (gradient,) = cr.grad(rosenbrock(point), [point])
        H = cr.hessian(rosenbrock, point)
        print(f"p = {point.numpy().round(6)}, f = {rosenbrock(point).item():.3e}, H = {H.numpy().round(1).tolist()}")
        point.assign(point.numpy() - np.linalg.solve(H.numpy(), gradient.numpy()))
        steps += 1
    print(f"Newton's method reached {point.numpy()} in {steps} steps.")

    # Any order: the derivatives of sin are cos, −sin, −cos, sin.
    x = cr.parameter(0.7)
    derivative = cr.sin(x)
    for _ in range(4):
        (derivative,) = cr.grad(derivative, [x])
    print(f"The fourth derivative of sin at 0.7 is {derivative.item():.12f}, and sin 0.7 = {cr.sin(x).item():.12f}.")
    return {
        "determinant": determinant,
        "newton steps": steps,
        "x": point[0].item(),
        "y": point[1].item(),
        "fourth derivative": derivative.item(),
    }


if __name__ == "__main__":
    main()
