"""What other padding did to one small trained network: points of accuracy, 3 seeds, against zeros treated alike.

Geometry and trained weights do not agree: partial padding spreads the paths most evenly, and costs a network that was
trained with zeros most. The network is the one of `make experiment` at 32 px; `padviz trial` measures another.
"""

AS_IS = {"partial": -19.1, "reflect": -12.7, "symmetric": -8.0, "replicate": -8.0, "circular": -4.5}
