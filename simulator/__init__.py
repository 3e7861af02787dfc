"""A driving simulator that looks, steers, records and speaks like the Udacity one.

It imports nothing else of the project. `world.World` is the way in; the physics alone
(`cameras=()`) needs NumPy only, the cameras need Panda3D and OpenCV.
"""
