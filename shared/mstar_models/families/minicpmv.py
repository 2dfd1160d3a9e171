"""MiniCPM-V 4.6: patches of all images lie side by side in one tensor [1, 3, patch, patches × patch]."""

from mstar_models.families.declaration import Family

FAMILY = Family(
    name="MiniCPM-V 4.6",
    model_types=("minicpmv4_6", "minicpmv4_7"),
    processors=("MiniCPMV4_6Processor", "MiniCPMV4_7Processor"),
    pixel_axes={"pixel_values": 3},
    # Its tower gives all patches as one row, and the next layer needs their sizes to tell the images apart.
    tower_by_image=False,
)
