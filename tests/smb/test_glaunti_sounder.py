"""What is sounder in the corrector: bounds, and no dependence on what lies outside of the glacier; safe files."""

import numpy as np
import pytest
import torch

from facies_xr.errors import InputError, ModelError
from facies_xr.smb.degreeday.parameters import free
from facies_xr.smb.glaunti import published
from facies_xr.smb.glaunti.files import Saved
from facies_xr.smb.glaunti.models import Corrected, of_saved, to_saved
from facies_xr.smb.glaunti.network import Corrector


def given(seed=0):
    rng = np.random.default_rng(seed)
    outline = np.zeros((40, 48), "float32")
    outline[12:30, 14:37] = 1
    fields = torch.tensor(rng.normal(size=(15, 40, 48)), dtype=torch.float32)
    return fields, torch.tensor(rng.normal(size=(2, 13)), dtype=torch.float32), torch.from_numpy(outline)


def network(**options):
    torch.manual_seed(1)
    return Corrector(**options).eval()


@pytest.mark.parametrize(("top", "left"), [(3, 5), (8, 8), (11, 13)])
def test_crops_change_nothing_with_a_mask(top, left):
    fields, climate, outline = given()
    m = network(masked=True)
    with torch.no_grad():
        whole = m(fields, climate, outline)
        crop = m(fields[:, top:34, left:41], climate, outline[top:34, left:41], origin=(top, left))
        elsewhere = m(torch.where(outline > 0, fields, 1e3), climate, outline)
    inside = outline > 0
    assert float(whole[:, inside].std()) > 1e-4
    np.testing.assert_allclose(elsewhere[:, inside], whole[:, inside], atol=1e-6)
    np.testing.assert_allclose(crop[:, inside[top:34, left:41]], whole[:, inside], atol=1e-6)
    plain = network()
    with torch.no_grad():
        apart = (
            plain(fields[:, top:34, left:41], climate)[:, inside[top:34, left:41]] - plain(fields, climate)[:, inside]
        )
    assert float(apart.abs().max()) > 1e-3  # as published, they do


def test_corrections_are_bounded():
    fields, climate, _ = given()
    with torch.no_grad():
        assert float(network(limit=0.02)(100 * fields, climate).abs().max()) < 0.02
        assert float(network()(100 * fields, climate).abs().max()) > 0.02


def test_a_model_is_kept_in_a_safe_file(tmp_path):
    model = Corrected(free(dtype=torch.float32), network(limit=0.5, masked=True), facies=True)
    again = of_saved(Saved.load(to_saved(model).save(tmp_path / "d.safetensors")))
    assert isinstance(again, Corrected)
    assert (again.facies, again.network.masked, again.network.limit) == (True, True, 0.5)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], value)


def test_damaged_files_are_refused(tmp_path):
    path = to_saved(Corrected(free(dtype=torch.float32), network())).save(tmp_path / "c.safetensors")
    whole = path.read_bytes()
    for broken in (
        whole[:1000],
        b"",
        whole[: len(whole) // 2],
        whole.replace(b"facies_xr glaunti 1", b"facies_xr glaunti 9"),
    ):
        path.write_bytes(broken)
        with pytest.raises(ModelError, match="is not a complete model"):
            Saved.load(path)
    with pytest.raises(ModelError, match="does not exist"):
        Saved.load(tmp_path / "none")
    with pytest.raises(InputError, match="no such file"):
        published.read(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ModelError, match="holds no published model"):
        published.read(tmp_path / "other.npz")
