//! What the made-up shop sells: a few thousand products, each a style of a thing in a category.

use super::random::Dice;

/// A product, by its category, thing and style.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    category: usize,
    thing: usize,
    style: usize,
}

const STYLES: [&str; 24] = [
    "RED RETROSPOT",
    "PINK POLKADOT",
    "VINTAGE",
    "ANTIQUE SILVER",
    "IVORY",
    "BLUE STRIPE",
    "WOODLAND",
    "REGENCY",
    "SPACEBOY",
    "PAISLEY",
    "FRENCH LAVENDER",
    "GREEN GINGHAM",
    "BLACK BAROQUE",
    "SUKI",
    "STRAWBERRY",
    "DOILY",
    "SCANDINAVIAN",
    "HEART",
    "BIRDCAGE",
    "COUNTRY",
    "CERAMIC",
    "ENAMEL",
    "WICKER",
    "APPLE",
];

/// Things by category, in the order of the web's categories, with an ordinary price in pence.
const THINGS: [[(&str, i32); 8]; 8] = [
    [
        ("HANGING DECORATION", 125),
        ("PICTURE FRAME", 255),
        ("WALL CLOCK", 595),
        ("DOORMAT", 795),
        ("CUSHION COVER", 425),
        ("BUNTING", 495),
        ("TRINKET BOX", 165),
        ("CHALKBOARD", 295),
    ],
    [
        ("CAKESTAND 3 TIER", 1_275),
        ("CAKE TINS SET OF 3", 495),
        ("TEACUP AND SAUCER", 295),
        ("JAM MAKING SET", 425),
        ("RECIPE BOX", 295),
        ("JELLY MOULD", 125),
        ("APRON", 495),
        ("CAKE CASES PACK OF 60", 55),
    ],
    [
        ("PLANT POT", 165),
        ("WATERING CAN", 495),
        ("KNEELING PAD", 165),
        ("BIRD FEEDER", 395),
        ("HERB MARKER", 65),
        ("GARDEN LANTERN", 375),
        ("PARASOL", 1_495),
        ("SEED TIN", 145),
    ],
    [
        ("CHRISTMAS BAUBLE", 85),
        ("PAPER CHAIN KIT", 295),
        ("ADVENT CALENDAR", 595),
        ("WREATH", 795),
        ("CHRISTMAS STOCKING", 295),
        ("TREE TOPPER", 215),
        ("GIFT TAGS", 85),
        ("RIBBONS", 195),
    ],
    [
        ("NOTEBOOK", 125),
        ("GREETING CARD", 42),
        ("WRAP", 42),
        ("PENCIL SET", 65),
        ("STICKER SHEET", 85),
        ("PHOTO ALBUM", 650),
        ("RUBBER STAMP", 125),
        ("PAPER NAPKINS", 85),
    ],
    [
        ("SNAP CARDS", 85),
        ("SKIPPING ROPE", 125),
        ("WOODEN TRAIN", 375),
        ("SOFT TOY", 495),
        ("BUILDING BLOCKS", 425),
        ("DOLL", 295),
        ("JIGSAW", 165),
        ("TEA SET", 495),
    ],
    [
        ("JUMBO BAG", 208),
        ("LUNCH BAG", 165),
        ("SHOPPER", 195),
        ("CHARLOTTE BAG", 85),
        ("STORAGE BAG", 208),
        ("WASH BAG", 325),
        ("BACKPACK", 850),
        ("PURSE", 295),
    ],
    [
        ("T-LIGHT HOLDER", 255),
        ("NIGHT LIGHT", 208),
        ("LANTERN", 339),
        ("FAIRY LIGHTS", 495),
        ("CANDLE PLATE", 165),
        ("TABLE LAMP", 1_250),
        ("CANDLESTICK", 375),
        ("LIGHT GARLAND", 595),
    ],
];

impl Product {
    /// A product of a category; some styles sell better than others.
    pub(super) fn draw(category: usize, dice: &mut Dice) -> Self {
        let within = dice.index(STYLES.len()) + 1;
        Self { category: category % THINGS.len(), thing: dice.index(8), style: dice.index(within) }
    }

    pub(super) fn stock_code(self) -> String {
        format!("{}", 20_000 + self.category * 400 + self.thing * 40 + self.style)
    }

    pub(super) fn description(self) -> String {
        let (thing, _) = THINGS[self.category][self.thing];
        format!("{} {thing}", STYLES[self.style])
    }

    /// The price in pence; each style costs a little more or less.
    pub(super) fn price_pence(self) -> i32 {
        let (_, ordinary) = THINGS[self.category][self.thing];
        let style = i32::try_from(self.style).unwrap_or(0);
        ordinary + ordinary * (style % 7 - 3) / 20
    }
}
